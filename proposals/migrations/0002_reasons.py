"""The reason codes that ship (P-14); administrators change their words later."""

from django.db import migrations

CODES = [
    # code, label, for a decline, for asking for changes, for a recall
    ("price-too-low", "Price too low", True, True, False),
    ("term", "Term", True, True, False),
    ("payment-risk", "Payment risk", True, True, False),
    ("wrong-plan-or-data", "Wrong plan or data", True, True, True),
    ("duplicate", "Duplicate", True, False, True),
    ("customer-changed-mind", "Customer changed their mind", False, False, True),
    ("other", "Other", True, True, True),
]


def make(apps, schema_editor):
    reason = apps.get_model("proposals", "ReasonCode")
    for position, (code, label, decline, changes, recall) in enumerate(CODES, start=1):
        reason.objects.get_or_create(
            code=code,
            defaults={
                "label": label,
                "for_decline": decline,
                "for_changes": changes,
                "for_recall": recall,
                "position": position * 10,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("proposals", "0001_initial")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]

"""The six roles of design.md 4, as groups."""

from django.db import migrations

ROLES = ["Sales reps", "Sales managers", "Finance", "CFO", "Administrators", "Auditors"]


def make(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for name in ROLES:
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]

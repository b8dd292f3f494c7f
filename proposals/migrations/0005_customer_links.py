import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

PERSON = {"on_delete": django.db.models.deletion.PROTECT, "related_name": "+", "to": settings.AUTH_USER_MODEL}


class Migration(migrations.Migration):
    dependencies = [
        ("proposals", "0004_refused_and_drafted_once"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CustomerLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("views", models.PositiveIntegerField(default=0)),
                ("last_viewed_at", models.DateTimeField(blank=True, null=True)),
                ("created_by", models.ForeignKey(**PERSON)),
                (
                    "proposal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="customer_links",
                        to="proposals.proposal",
                    ),
                ),
                ("revoked_by", models.ForeignKey(blank=True, null=True, **PERSON)),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("created_at"))),
                        name="link_ends_after_start",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("revoked_at__isnull", True), ("revoked_by__isnull", True))
                        | models.Q(("revoked_at__isnull", False), ("revoked_by__isnull", False)),
                        name="link_revoked_by_somebody",
                    ),
                ],
            },
        ),
    ]

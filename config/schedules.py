"""
What the worker does by the clock, made anew after every `migrate`.

The clock is a safety net: whatever is due is written in rows, so a lost or late turn loses nothing (R-08).
"""

from django.apps import apps as all_apps

# Name, function, minutes between turns.
SCHEDULES = [
    ("Deliveries and looks", "togai.tasks.work", 1),
    ("Pulls that were asked for", "purchases.tasks.pull", 5),
    ("Twins at Togai", "togai.tasks.sweep", 720),
    ("Validity of proposals", "proposals.tasks.expire_due", 60),
    ("Warnings before the validity ends", "proposals.tasks.warn_of_expiry", 60),
    ("Notices by mail", "proposals.tasks.mail_notices", 5),
]


def register(*, using, apps=all_apps, **kwargs):
    """Write the table above into the database; for `post_migrate`. Safe to repeat, keeps the next turns."""
    try:
        schedule = apps.get_model("django_q", "Schedule")
    except LookupError:
        # Only a part of the migrations ran.
        return
    ours = schedule.objects.using(using)
    for name, function, minutes in SCHEDULES:
        ours.update_or_create(
            name=name, defaults={"func": function, "schedule_type": "I", "minutes": minutes, "repeats": -1}
        )

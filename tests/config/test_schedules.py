"""What runs by the clock."""

from datetime import timedelta
from pydoc import locate

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import Schedule

from config.schedules import SCHEDULES


@pytest.mark.django_db
def test_every_migrated_database_has_the_schedules_once():
    """R-08: without a turn by the clock, a lost wake-up would wait for the next one."""
    later = timezone.now() + timedelta(seconds=40)
    Schedule.objects.filter(func="togai.tasks.work").update(next_run=later, minutes=30)
    Schedule.objects.filter(func="proposals.tasks.expire_due").delete()
    call_command("migrate", verbosity=0)
    wanted = sorted((function, minutes) for _, function, minutes in SCHEDULES)
    assert sorted(Schedule.objects.values_list("func", "minutes")) == wanted
    assert Schedule.objects.get(func="togai.tasks.work").next_run == later


@pytest.mark.parametrize("function", [function for _, function, _ in SCHEDULES])
def test_every_scheduled_function_exists(function):
    assert callable(locate(function))

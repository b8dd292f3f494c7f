"""The background cluster as real processes: it survives what kills its parts, and is alone on SQLite."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django_q.models import OrmQ
from django_q.tasks import async_task

from tests import factories
from tests.desk import PATIENCE_SECONDS, Desk
from togai import tasks
from togai.models import Delivery

QUEUE = "from django_q.tasks import async_task; async_task('togai.tasks.work')"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("cluster"))
    desk.manage("migrate", "--verbosity", "0")
    return desk


@pytest.fixture
def desk(database):
    database.start("worker")
    yield database
    database.stop_all()


def children(pid):
    """The processes that a process started, by their ids; none when it has just ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def parts(desk):
    """The sentinel and its three children (worker, monitor, pusher) once all of them run, else nothing."""
    sentinels = children(desk.running["worker"].pid)
    if len(sentinels) != 1:
        return []
    others = children(sentinels[0])
    return [*sentinels, *others] if len(others) == 3 else []


def works(desk):
    """Queue one wake-up and wait until it is done."""
    desk.manage("shell", "-v", "0", "-c", QUEUE)
    desk.until(lambda: not desk.rows("select 1 from django_q_ormq"))


@pytest.mark.process
@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_whichever_process_is_killed_work_goes_on(desk, part):
    """R-08: the library alone waits for ever when the one that dies held the queue."""
    before = desk.until(lambda: parts(desk))
    works(desk)
    os.kill(before[part], signal.SIGKILL)
    desk.until(lambda: set(parts(desk)) and before[part] not in parts(desk))
    works(desk)


@pytest.mark.process
def test_a_stop_of_the_whole_group_ends_in_order(desk):
    desk.until(lambda: parts(desk))
    works(desk)
    process = desk.running["worker"]
    # Impatient supervisors say it more than once.
    for _ in range(20):
        os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.process
def test_no_orphan_works_on_when_the_first_process_is_killed(desk):
    running = desk.until(lambda: parts(desk))
    first = desk.running.pop("worker")
    first.kill()
    first.wait()
    desk.until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in running))


@pytest.mark.process
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({}, "Another worker runs"), ({"WORKERS": "2"}, "SQLite takes one worker")],
)
def test_sqlite_takes_one_worker_only(desk, settings, sentence):
    """R-12: a second cluster, or a second worker in one, is refused with one sentence."""
    desk.until(lambda: parts(desk))
    second = subprocess.run(
        desk.command("worker"),
        shell=True,
        cwd=desk.root,
        env=desk.environment | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert second.returncode == 1
    assert sentence in second.stderr
    assert len(second.stderr.splitlines()) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("still_open", [True, False])
def test_a_worker_refuses_the_copy_of_another_place(settings, still_open):
    """R-15: the tag in the keys of a copied database is not the tag of this place."""
    factories.submitted()
    if not still_open:
        Delivery.objects.update(state=Delivery.State.CONFIRMED, remote_id="proposal.1")
    settings.TOGAI_ENVIRONMENT = "staging"
    with pytest.raises(CommandError, match="belongs to “dev” and this worker to “staging”"):
        call_command("qcluster")


@pytest.mark.django_db
def test_a_turn_answers_every_wake_up_that_was_waiting_for_it():
    """R-08: a bulk action leaves a thousand messages that say the same; other tasks stay queued."""
    for _ in range(5):
        async_task("togai.tasks.work")
    async_task("proposals.tasks.expire_due")
    tasks.work()
    assert [message.func() for message in OrmQ.objects.all()] == ["proposals.tasks.expire_due"]

import subprocess
import sys
import time

from scaleprof.timing.contention import Load, LoadWatch


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_what_this_process_does_is_not_foreign():
    quiet = LoadWatch()
    time.sleep(0.5)
    idle = quiet.load().foreign_cores
    busy = LoadWatch()
    spin(0.5)
    # our own work adds nothing to what others were doing anyway
    assert busy.load().foreign_cores <= idle + 0.5


def test_another_process_that_spins_is_foreign():
    command = "import time; end = time.time() + 60\nwhile time.time() < end: pass"
    other = subprocess.Popen([sys.executable, "-c", command])
    try:
        time.sleep(0.3)
        watch = LoadWatch()
        time.sleep(1.0)
        assert watch.load().foreign_cores > 0.15
    finally:
        other.kill()
        other.wait()


def test_work_of_others_on_cores_that_nobody_wants_is_no_contention():
    assert not Load(foreign_cores=30.0, idle_cores=2.0).contended
    assert not Load(foreign_cores=0.05, idle_cores=0.0).contended
    assert Load(foreign_cores=0.9, idle_cores=0.0).contended

"""Every measurement, kept in one SQLite file: resume, reuse, history. Without torch."""

from ._fingerprint import fingerprint as fingerprint
from ._store import VARIABLE as VARIABLE
from ._store import Block as Block
from ._store import Store as Store
from ._store import now as now
from ._store import store_path as store_path

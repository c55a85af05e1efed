"""Reports, one format per file. `scaleprof.reports.table` needs rich, the others do not."""

from ._text import code_line as code_line
from ._text import one_line as one_line
from .json import check_writable as check_writable
from .json import read_accuracy as read_accuracy
from .json import read_report as read_report
from .json import read_text as read_text
from .json import write_json as write_json
from .json import write_text as write_text

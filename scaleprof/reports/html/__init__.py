"""Reports as one HTML file that needs no network: pictures, conditions, and calls to copy."""

from ._page import report_html as report_html

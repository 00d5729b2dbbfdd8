"""Pictures and pages from what was measured. Needs the extra `report` (jinja2, matplotlib).

A `page.Page` is made of paragraphs, figures, tables and the like, and written as one folder: `report.html`, which needs
no other file, and beside it the same as PNG, CSV and JSON, with the commands that made it. `history` reads the metrics
of runs, `curves` draws them, `runs` makes a page of them, and `tokenizer` one of a tokenizer.
"""

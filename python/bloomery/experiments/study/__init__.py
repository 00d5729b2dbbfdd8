"""What the studies share: a desk with its settings and files, corpora made ready, budgets, and runs in parallel.

How a study goes: `desk.Desk` opens its folder and refuses one of other settings; `corpora` trains a tokenizer on each
corpus and writes its ids, once for all studies; `budget` measures this machine and fits model and steps into the
minutes; `runs` trains what is not trained yet, several runs at a time; the study reads their histories, judges them
and hands back a page.
"""

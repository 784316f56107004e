"""Runs that were trained elsewhere: one module a program or format that they come from.

Each adds its runs by `Store.import_runs`, and names those without a name as `names` does.
"""

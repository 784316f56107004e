"""The pages of the dashboard, a module a page; `show()` draws it for the sweep that is chosen."""

"""The Explore page in parts: what is compared, the filter bar, the plots, and the table of runs."""

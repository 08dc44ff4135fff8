"""How backups change over time: durations, sizes, success, storage, throughput, restores; outliers; forecasts.

Read models only: aggregated by the catalogue's database, so many queries and rows for five years as for one month.
docs/trends.md explains the methods.
"""

"""The audit log: who did what, from where, on what, why, and what became of it; chained, sealed and anchored."""

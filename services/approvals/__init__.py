"""The two-person rule: deletions and real restores are asked for by one and approved by another."""

"""Charts: pure functions from a DataFrame and a palette to an Altair chart, a module per subject.

Nothing here knows Streamlit.
"""

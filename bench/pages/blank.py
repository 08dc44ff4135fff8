"""A Streamlit page with nothing on it: what the framework itself costs on this machine."""

import streamlit as st

st.set_page_config(page_title="Blank", layout="wide")
st.markdown("# Blank")

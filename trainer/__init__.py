"""The language model being researched: everything in this folder may be changed by a proposal."""

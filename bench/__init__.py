"""What judges: profiles, data, supervision and scoring. Knows nothing of ideas, of language models' APIs, or of git."""

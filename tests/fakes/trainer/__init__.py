"""A trainer that keeps the contract and takes milliseconds: a unigram model of the tokens it was shown."""

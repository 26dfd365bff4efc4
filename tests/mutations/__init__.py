"""A corpus of faulty specs: valid ones, and what people and programs get wrong in them, each fault with its place."""

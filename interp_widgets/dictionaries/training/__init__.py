"""Training sparse dictionaries: recipes (`recipes`), what to train (`specs`), one step (`trainee`)."""

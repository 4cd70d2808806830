"""What a validation measures and what it makes of that, beside other ways to predict."""

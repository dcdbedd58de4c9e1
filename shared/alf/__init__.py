"""The ONE/ALF convention: grammar, dataset types, validation, loading. No AWS import."""

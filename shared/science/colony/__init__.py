"""Colony: names of animals, genotypes from tests and from parents, pedigree, breeding plans."""

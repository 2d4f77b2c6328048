"""Everything that touches torch: export, decompositions and the import of FX graphs."""

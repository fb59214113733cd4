"""How a suite scales: swept over threads, fitted, projected to other sizes, and drawn."""

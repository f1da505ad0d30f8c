"""What reads an artifact's files: the graph, its scores, the gate rows. One vendor library each."""

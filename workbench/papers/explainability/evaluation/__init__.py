"""Evaluation: is an explanation true of the model, and does it depend on what the model learnt?"""

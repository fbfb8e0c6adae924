"""What is a finished model good for?"""

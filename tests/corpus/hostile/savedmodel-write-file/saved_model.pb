

node	WriteFile
"""The agent: conversations, their runs, the graph, its tools and its models.

The only package that knows LangChain and LangGraph.
"""

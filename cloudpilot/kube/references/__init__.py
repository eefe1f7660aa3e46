"""What objects name: owners, volumes, accounts, backends, hosts; read from projections, pure."""

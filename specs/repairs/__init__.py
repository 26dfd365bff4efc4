"""What would mend a fault: candidates, the likeliest first; none is offered before it was tried."""

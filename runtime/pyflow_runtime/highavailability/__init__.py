"""What must survive a JobManager: the leader epoch, the graphs of running jobs, the results of ended ones."""

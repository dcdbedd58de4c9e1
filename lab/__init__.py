"""What runs outside the cloud: rig agent, worker, tasks, exports, the fornix command line."""

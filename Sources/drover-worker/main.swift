import Runner

WorkerProgram.run()

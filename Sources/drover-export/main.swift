import Runner

ExportProgram.run()

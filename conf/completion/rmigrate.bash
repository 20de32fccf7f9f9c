# rmigrate.bash - completion of rmigrate for bash

module flagstaff/differential

go 1.21

require github.com/diegoholiveira/jsonlogic/v3 v3.9.1

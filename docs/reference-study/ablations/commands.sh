bloomery study ablations english.txt --minutes 3.2 --folder studies
bloomery tokenizer train english.txt --vocab-size 512 --output studies/data/english-512/tokenizer.json
bloomery tokenizer encode english.txt --tokenizer studies/data/english-512/tokenizer.json --output studies/data/english-512/tokens.npy
bloomery train studies/ablations/runs/base-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-norm-seed-0/config.toml --resume
bloomery train studies/ablations/runs/post-norm-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-position-seed-0/config.toml --resume
bloomery train studies/ablations/runs/SiLU-seed-0/config.toml --resume
bloomery train studies/ablations/runs/base-seed-1/config.toml --resume
bloomery train studies/ablations/runs/no-norm-seed-1/config.toml --resume
bloomery train studies/ablations/runs/post-norm-seed-1/config.toml --resume
bloomery train studies/ablations/runs/no-position-seed-1/config.toml --resume
bloomery train studies/ablations/runs/SiLU-seed-1/config.toml --resume
bloomery train studies/ablations/runs/no-norm-lr-0.001-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-norm-lr-0.0033-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-norm-lr-0.03-seed-0/config.toml --resume

bloomery study ablations english.txt.zst --minutes 5.2 --folder studies
bloomery tokenizer train english.txt.zst --vocab-size 4096 --output studies/data/english-4096/tokenizer.json
bloomery tokenizer encode english.txt.zst --tokenizer studies/data/english-4096/tokenizer.json --output studies/data/english-4096/tokens.npy
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
bloomery train studies/ablations/runs/no-norm-lr-0.00095-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-norm-lr-0.0031-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-norm-lr-0.028-seed-0/config.toml --resume
bloomery train studies/ablations/runs/no-norm-lr-0.0031-seed-1/config.toml --resume

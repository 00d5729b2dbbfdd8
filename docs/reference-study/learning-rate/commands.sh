bloomery study learning-rate english.txt.zst --minutes 4.6 --folder studies
bloomery tokenizer train english.txt.zst --vocab-size 4096 --output studies/data/english-4096/tokenizer.json
bloomery tokenizer encode english.txt.zst --tokenizer studies/data/english-4096/tokenizer.json --output studies/data/english-4096/tokens.npy
bloomery train studies/learning-rate/runs/lr-9.5e-05/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.0003/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.00095/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.003/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.0053/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.0095/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.017/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.03/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.095/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.3/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.95/config.toml --resume
bloomery train studies/learning-rate/runs/lr-3/config.toml --resume

bloomery study learning-rate english.txt --minutes 2.2 --folder studies
bloomery tokenizer train english.txt --vocab-size 512 --output studies/data/english-512/tokenizer.json
bloomery tokenizer encode english.txt --tokenizer studies/data/english-512/tokenizer.json --output studies/data/english-512/tokens.npy
bloomery train studies/learning-rate/runs/lr-0.00032/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.001/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.0032/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.0057/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.01/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.018/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.032/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.1/config.toml --resume
bloomery train studies/learning-rate/runs/lr-0.32/config.toml --resume
bloomery train studies/learning-rate/runs/lr-1/config.toml --resume
bloomery train studies/learning-rate/runs/lr-3.2/config.toml --resume
bloomery train studies/learning-rate/runs/lr-10/config.toml --resume

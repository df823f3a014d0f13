"""A small training loop whose losses are the same in every run on one card: with and without weft they must be equal."""
import os

os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
import torch  # noqa: E402

STEPS = 50

torch.manual_seed(1)
torch.use_deterministic_algorithms(True)
device = torch.device("cuda:0")
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
    torch.nn.Linear(16 * 16 * 16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)).to(device)
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
inputs = torch.randn(64, 3, 16, 16).to(device)
labels = torch.randint(0, 10, (64,)).to(device)

print(torch.cuda.get_device_name(0), torch.cuda.device_count())
for step in range(STEPS):
    loss = torch.nn.functional.cross_entropy(model(inputs), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 10 == 9:
        print(step + 1, loss.item().hex())
print("done", torch.cuda.max_memory_allocated())

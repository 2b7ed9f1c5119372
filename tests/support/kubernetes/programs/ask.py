"""`ask.py BODY [halfway]`: one question over callgate's socket. Prints the status, or `cut off`, and the answer.

With `halfway`, it prints a line after half of the body, and continues at SIGUSR1.
"""

import signal
import socket
import sys

HEADER = (
    "POST /v1/check HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
    "content-length: {}\r\n\r\n"
)

body, halfway = sys.argv[1].encode(), sys.argv[2:] == ["halfway"]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("/run/callgate/callgate.sock")
    answer = b""
    try:
        connection.sendall(HEADER.format(len(body)).encode() + body[: len(body) // 2])
        if halfway:
            sys.stdout.write("halfway\n")
            sys.stdout.flush()
            signal.sigwait([signal.SIGUSR1])
        connection.sendall(body[len(body) // 2 :])
        while part := connection.recv(65536):
            answer += part
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
head, _, content = answer.decode().partition("\r\n\r\n")
sys.stdout.write(f"{head.split()[1] if head else 'cut off'}\n{content}\n")

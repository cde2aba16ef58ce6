"""A window that shows frames as they come."""

from __future__ import annotations

import time

import numpy as np


class Window:
    """Shows pictures on the screen, and how many come in a second. Closing it, or the key q, ends it.

    Args:
        title: what stands above it.

    Attributes:
        open: whether it is still there.

    Raises:
        ValueError: there is no screen.

    Example:
        >>> window = Window("camera 0")
        >>> while window.open:
        ...     window.show(next(frames))
    """

    def __init__(self, title: str):
        try:
            import tkinter

            self._root = tkinter.Tk()
        except ImportError:
            raise ValueError(
                "show=True: Python has no tkinter here; install it (python3-tk), or leave show out"
            ) from None
        except tkinter.TclError as error:
            raise ValueError(f"show=True: there is no screen ({error}); leave show out") from None
        self._picture = tkinter.PhotoImage(master=self._root)
        self._label = tkinter.Label(self._root, image=self._picture, borderwidth=0)
        self._label.pack()
        self._title, self._times, self.open = title, [], True
        self._root.protocol("WM_DELETE_WINDOW", self._end)
        self._root.bind("<q>", lambda _: self._end())

    def _end(self) -> None:
        self.open = False

    def show(self, picture: np.ndarray) -> None:
        """Shows the next picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
        """
        self._times = [*self._times[-29:], time.perf_counter()]
        passed = self._times[-1] - self._times[0]
        rate = f" - {(len(self._times) - 1) / passed:.1f} frames a second" if passed else ""
        self._root.title(f"{self._title}{rate}")
        height, width = picture.shape[:2]
        self._picture.configure(data=b"P6 %d %d 255\n" % (width, height) + picture.tobytes())
        self._root.update()

    def close(self) -> None:
        """Takes the window away."""
        self.open = False
        self._root.destroy()

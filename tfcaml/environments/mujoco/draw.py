"""Draws states of MuJoCo models: a program of its own, which does not import TensorFlow.

TensorFlow and Mesa, which draws where there is no graphics card, each bring a version of LLVM, and
a process that has loaded both crashes. So `film` runs this file in another process. All files are
in the directory that is its argument; the scenes are numbered from 0.

    0.mjb  the model                       0.npz  positions [F, nq], goal [3] or [0], size [2], and
    0.npy  the pictures, written last,            looks.FIELD [F, ...] of fields of the model
           [F, height, width, 3] uint8
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import mujoco
import numpy as np

_GOAL_COLOR = (0.80, 0.47, 0.65, 0.8)
_GOAL_SIZE = 0.08  # of the model's extent
_ROOM = 1.2  # how far beyond the goal is seen, over how far away that is
_LOOKS = "looks."
_SAMPLES = 4  # of a pixel, so that edges are smooth


def main(directory: str) -> None:
    """Draws all scenes of a directory, also none; raises whatever fails."""
    empty = mujoco.MjSpec().compile()
    with mujoco.Renderer(empty) as renderer:  # whether anything can be drawn
        renderer.update_scene(mujoco.MjData(empty))
        renderer.render()
    for path in sorted(pathlib.Path(directory).glob("*.mjb")):
        model = mujoco.MjModel.from_binary_path(str(path))
        with np.load(path.with_suffix(".npz")) as scene:
            looks = {
                name.removeprefix(_LOOKS): scene[name] for name in scene if name.startswith(_LOOKS)
            }
            height, width = scene["size"].tolist()
            pictures = draw(model, scene["positions"], scene["goal"], height, width, looks)
        np.save(path.with_suffix(".npy"), pictures)


def draw(
    model: mujoco.MjModel,
    positions: np.ndarray,
    goal: np.ndarray,
    height: int,
    width: int,
    looks: dict[str, np.ndarray],
) -> np.ndarray:
    """Pictures of states.

    What has a goal or looks is seen by the camera "top" or "side", which stands; all else by
    "track", which moves along.

    Args:
      model: with its goal as body "goal" where it has one; a ball is drawn for other models.
      positions: [F, nq], generalised positions.
      goal: [3], a place in metres; [0] without.
      height, width: of a picture, in pixels.
      looks: fields of the model that differ between pictures, dict name -> [F, ...].

    Returns:
      [F, height, width, 3] uint8.
    """
    model.vis.quality.offsamples = _SAMPLES
    data = mujoco.MjData(model)
    body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "goal")
    mocap = model.body_mocapid[body] if body >= 0 else -1
    if goal.size and mocap >= 0:
        data.mocap_pos[mocap] = goal
    camera = _camera(model, stands=bool(goal.size or looks))
    if camera == "top" and goal.size:
        _rise(model, goal, height / width)
    pictures = np.empty([len(positions), height, width, 3], np.uint8)
    with mujoco.Renderer(model, height, width) as renderer:
        for frame, (position, picture) in enumerate(zip(positions, pictures)):
            for name, values in looks.items():
                getattr(model, name)[:] = values[frame]
            data.qpos[:] = position
            mujoco.mj_fwdPosition(model, data)
            renderer.update_scene(data, camera)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                renderer.scene.flags[flag] = False  # which take most of the time
            if goal.size and mocap < 0:
                _mark(renderer.scene, goal, _GOAL_SIZE * model.stat.extent)
            renderer.render(out=picture)
    return pictures


def _camera(model: mujoco.MjModel, stands: bool) -> Any:
    """Name of the camera; -1, MuJoCo's own, where the model has none of them."""
    known = {model.camera(index).name for index in range(model.ncam)}
    names = ("top", "side", "track") if stands else ("track", "side", "top")
    return next((name for name in names if name in known), -1)


def _rise(model: mujoco.MjModel, goal: np.ndarray, height_of_width: float) -> None:
    """Lifts the camera that looks down until it sees the goal, if it doesn't."""
    camera = model.camera("top")
    reach = max(abs(goal[1] - camera.pos[1]), height_of_width * abs(goal[0] - camera.pos[0]))
    above = _ROOM * reach / np.tan(np.deg2rad(camera.fovy[0]) / 2)
    camera.pos[2] = max(camera.pos[2], goal[2] + above)


def _mark(scene: mujoco.MjvScene, goal: np.ndarray, radius: float) -> None:
    """A ball that the model doesn't have."""
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        mujoco.mjtGeom.mjGEOM_SPHERE,
        np.full(3, radius),
        goal.astype(np.float64),
        np.eye(3).ravel(),
        np.array(_GOAL_COLOR, np.float32),
    )
    scene.ngeom += 1


if __name__ == "__main__":
    main(sys.argv[1])
